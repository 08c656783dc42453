// One way to ask the hub: JSON in, JSON out, every refusal an ApiError with a stable id.

export interface Refusal {
  id: string
  message: string
  status: number // 0: the hub was not reached
  line?: number | null
  column?: number | null
  field?: string | null
}

export class ApiError extends Error implements Refusal {
  readonly id: string
  readonly status: number
  readonly line: number | null
  readonly column: number | null
  readonly field: string | null

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.name = 'ApiError'
    this.id = refusal.id
    this.status = refusal.status
    this.line = refusal.line ?? null
    this.column = refusal.column ?? null
    this.field = refusal.field ?? null
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>

export interface Ask {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  query?: Query
  body?: unknown // JSON, or FormData as it is
  signal?: AbortSignal
  timeout?: number // ms
  quiet?: boolean // a 401 here does not mean that the session ended
  keepalive?: boolean // goes out even while the page goes away: a camera must not turn for ever
}

const TIMEOUT = 15_000

let onSignedOut: () => void = () => undefined

/** What happens when the hub says that nobody is signed in. */
export function whenSignedOut(handler: () => void): void {
  onSignedOut = handler
}

export function withQuery(path: string, query: Query = {}): string {
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value))
  }
  const text = search.toString()
  return text ? `${path}?${text}` : path
}

/** Turn any answer that is no success into an ApiError, whatever its body looks like. */
export async function refusalOf(answer: Response): Promise<ApiError> {
  const fallback = { id: `http.${String(answer.status)}`, message: answer.statusText, status: answer.status }
  try {
    const body = (await answer.json()) as { error?: Partial<Refusal> }
    if (typeof body.error?.id !== 'string') return new ApiError(fallback)
    return new ApiError({ ...fallback, ...body.error, status: answer.status })
  } catch {
    return new ApiError(fallback)
  }
}

/** Fetch with a time limit; a network failure is an ApiError with status 0. */
export async function reach(url: string, init: RequestInit, timeout = TIMEOUT): Promise<Response> {
  const limit = AbortSignal.timeout(timeout)
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit
  try {
    return await fetch(url, { credentials: 'same-origin', ...init, signal })
  } catch (error) {
    if (init.signal?.aborted) throw error
    const id = limit.aborted ? 'network.timeout' : 'network.unreachable'
    throw new ApiError({ id, message: String(error), status: 0 })
  }
}

/** Ask the hub; answers the parsed body, or undefined for 204. Throws ApiError. */
export async function ask<T>(path: string, options: Ask = {}): Promise<T> {
  const form = options.body instanceof FormData
  const init: RequestInit = { method: options.method ?? 'GET', headers: { Accept: 'application/json' } }
  if (options.signal) init.signal = options.signal
  if (options.keepalive) init.keepalive = true
  if (options.body !== undefined) {
    init.body = form ? (options.body as FormData) : JSON.stringify(options.body)
    if (!form) init.headers = { ...init.headers, 'Content-Type': 'application/json' }
  }
  const answer = await reach(withQuery(path, options.query), init, options.timeout)
  if (!answer.ok) {
    if (answer.status === 401 && !options.quiet) onSignedOut()
    throw await refusalOf(answer)
  }
  if (answer.status === 204) return undefined as T
  try {
    return (await answer.json()) as T
  } catch {
    throw new ApiError({ id: 'network.not_understood', message: 'not JSON', status: answer.status })
  }
}
