import { describe, expect, it } from 'vitest'
import type { Camera } from '@/wire/types'
import { check, patchOf } from './check'

const GOOD = { name: '东门', url: 'rtsp://user:pass@10.0.0.1/1', unit: 'ruyi' }

describe('check', () => {
  it.each(['rtsp://a', 'RTSPS://a', 'http://a', 'https://a/x', 'rtmp://a', ' rtsp://a '])('takes %s', (url) => {
    expect(check({ ...GOOD, url })).toEqual({})
  })

  it.each(['file:///etc/passwd', 'ftp://a', 'rtsp:/a', 'a', 'rtsp://'])('refuses %s', (url) => {
    expect(check({ ...GOOD, url })).toEqual({ url: 'system.url_scheme' })
  })

  it('lets an edit leave the address out, and no more', () => {
    expect(check({ ...GOOD, url: '' }, true)).toEqual({})
    expect(check({ ...GOOD, url: 'ftp://a', sub_url: 'x' }, true)).toEqual({ url: 'system.url_scheme', sub_url: 'system.url_scheme' })
  })

  it('names every field that is missing', () => {
    expect(check({ name: ' ', url: '', unit: '' })).toEqual({ name: 'system.name_missing', url: 'system.url_missing', unit: 'system.unit_missing' })
  })
})

describe('patchOf', () => {
  const camera = { id: 'c', name: '东门', unit: 'ruyi', sub_stream: true } as Camera

  it('sends nothing that stays', () => {
    expect(patchOf({ ...GOOD, url: '', sub_url: ' ' }, camera, false)).toEqual({})
  })

  it('sends what is new, and takes the sub stream away only when told to', () => {
    expect(patchOf({ name: ' 西门 ', url: ' rtsp://b ', sub_url: 'rtsp://s', unit: 'b' }, camera, false)).toEqual({ name: '西门', url: 'rtsp://b', sub_url: 'rtsp://s', unit: 'b' })
    expect(patchOf({ ...GOOD, url: '', sub_url: 'rtsp://s' }, camera, true)).toEqual({ sub_url: null })
  })
})
