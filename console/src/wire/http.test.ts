import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError, ask, whenSignedOut, withQuery } from './http'

const fetched = vi.fn<typeof fetch>()

function answers(body: BodyInit | null, status: number): void {
  fetched.mockResolvedValueOnce(new Response(body, { status }))
}

async function refused(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(() => null, (reason: unknown) => reason)
  if (!(error instanceof ApiError)) throw new Error('was not refused')
  return error
}

beforeEach(() => {
  fetched.mockReset()
  vi.stubGlobal('fetch', fetched)
})
afterEach(() => {
  vi.unstubAllGlobals()
  whenSignedOut(() => undefined)
})

describe('withQuery', () => {
  it('leaves out what is not given and encodes the rest', () => {
    expect(withQuery('/x', { q: '东 门', unit: undefined, cursor: null, limit: 0, on: false, empty: '' })).toBe(
      '/x?q=%E4%B8%9C+%E9%97%A8&limit=0&on=false',
    )
    expect(withQuery('/x')).toBe('/x')
  })
})

describe('ask', () => {
  it('sends and reads JSON', async () => {
    answers('{"items":[]}', 201)
    expect(await ask('/api/v1/x', { method: 'POST', body: { a: 1 } })).toEqual({ items: [] })
    const init = fetched.mock.calls[0]?.[1]
    expect(init).toMatchObject({ method: 'POST', body: '{"a":1}', credentials: 'same-origin' })
    expect(new Headers(init?.headers).get('content-type')).toBe('application/json')
  })

  it('leaves the content type of a form to the browser', async () => {
    answers('{}', 200)
    await ask('/x', { method: 'POST', body: new FormData() })
    expect(new Headers(fetched.mock.calls[0]?.[1]?.headers).has('content-type')).toBe(false)
  })

  it('answers undefined for 204', async () => {
    answers(null, 204)
    expect(await ask('/x', { method: 'DELETE' })).toBeUndefined()
  })

  it('carries id, line and field of a refusal', async () => {
    answers('{"error":{"id":"rubric.wrong","message":"no","line":7,"column":3,"field":"items"}}', 422)
    expect(await refused(ask('/x'))).toMatchObject({ id: 'rubric.wrong', status: 422, line: 7, column: 3, field: 'items' })
  })

  it('names a refusal that is no JSON by its status', async () => {
    answers('<h1>Bad gateway</h1>', 502)
    expect(await refused(ask('/x'))).toMatchObject({ id: 'http.502', status: 502 })
  })

  it('names an answer that is no JSON', async () => {
    answers('<h1>hello</h1>', 200)
    expect((await refused(ask('/x'))).id).toBe('network.not_understood')
  })

  it('names a hub that is away', async () => {
    fetched.mockRejectedValueOnce(new TypeError('failed to fetch'))
    expect(await refused(ask('/x'))).toMatchObject({ id: 'network.unreachable', status: 0 })
  })

  it('names a hub that is too slow', async () => {
    fetched.mockImplementationOnce(
      (_, init) => new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => { reject(new Error('aborted')) })),
    )
    expect((await refused(ask('/x', { timeout: 5 }))).id).toBe('network.timeout')
  })

  it('tells that the session ended, unless asked to be quiet', async () => {
    const ended = vi.fn()
    whenSignedOut(ended)
    answers('{"error":{"id":"session.none","message":"x"}}', 401)
    await refused(ask('/x', { quiet: true }))
    expect(ended).not.toHaveBeenCalled()
    answers('{"error":{"id":"session.none","message":"x"}}', 401)
    await refused(ask('/x'))
    expect(ended).toHaveBeenCalledOnce()
  })
})
