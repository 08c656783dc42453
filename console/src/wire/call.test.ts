import { afterEach, expect, it, vi } from 'vitest'
import { call, fill } from './call'

afterEach(() => {
  vi.unstubAllGlobals()
})

it('puts parameters into a path, encoded', () => {
  expect(fill('/a/{x}/b/{y}', { x: '1/2', y: '东' })).toBe('/a/1%2F2/b/%E4%B8%9C')
  expect(fill('/a')).toBe('/a')
})

it('never asks for a path with a hole in it', () => {
  expect(() => fill('/a/{x}', {})).toThrow('needs x')
  expect(() => fill('/a/{x}', { x: '' })).toThrow('needs x')
})

it('asks with method, query and body', async () => {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response('{}', { status: 200 })))
  vi.stubGlobal('fetch', fetched)
  await call('post', '/api/v1/alerts/{alert}/dismiss', { path: { alert: 'alr-1' }, body: { reason: 'x' } })
  await call('get', '/api/v1/cameras', { query: { q: 'a', limit: 3 } })
  expect(fetched.mock.calls[0]?.[0]).toBe('/api/v1/alerts/alr-1/dismiss')
  expect(fetched.mock.calls[0]?.[1]).toMatchObject({ method: 'POST', body: '{"reason":"x"}' })
  expect(fetched.mock.calls[1]?.[0]).toBe('/api/v1/cameras?q=a&limit=3')
})
