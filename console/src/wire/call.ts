// One REST call, held by the compiler against the hub's OpenAPI document: path, parameters, body and answer.
import type { paths } from './api'
import { ask } from './http'

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends { responses: unknown } ? P : never
}[keyof paths]

interface Json<T> {
  content: { 'application/json': T }
}
type Answer<Op> = Op extends { responses: { 201: Json<infer T> } } ? T : Op extends { responses: { 200: Json<infer T> } } ? T : undefined
type PathPart<Op> = Op extends { parameters: { path: infer X extends object } } ? { path: X } : { path?: undefined }
type QueryPart<Op> = Op extends { parameters: { query?: infer X } } ? { query?: X } : { query?: undefined }
type BodyPart<Op> = Op extends { requestBody: Json<infer B> }
  ? { body: B }
  : Op extends { requestBody: { content: { 'multipart/form-data': unknown } } }
    ? { body: FormData }
    : Op extends { requestBody?: Json<infer B> }
      ? { body?: B }
      : { body?: undefined }
interface Extra {
  quiet?: boolean
  timeout?: number
  keepalive?: boolean
  signal?: AbortSignal
}
export type Given<Op> = PathPart<Op> & QueryPart<Op> & BodyPart<Op> & Extra

/** Put the parameters into a path template, encoded. */
export function fill(template: string, values: Record<string, string> = {}): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined || value === '') throw new Error(`${template} needs ${name}`)
    return encodeURIComponent(value)
  })
}

/** Ask the hub. Throws ApiError. */
export function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  given: Given<paths[P][M]>,
): Promise<Answer<paths[P][M]>> {
  const { path: values, query, body, ...extra } = given as Extra & { path?: Record<string, string>; query?: Record<string, string>; body?: unknown }
  const verb = method.toUpperCase() as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  return ask(fill(path, values), { method: verb, query, body, ...extra })
}
