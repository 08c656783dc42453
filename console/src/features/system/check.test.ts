import { describe, expect, it } from 'vitest'
import { check } from './check'

const GOOD = { name: '东门', url: 'rtsp://user:pass@10.0.0.1/1', unit: 'ruyi' }

describe('check', () => {
  it.each(['rtsp://a', 'RTSPS://a', 'http://a', 'https://a/x', 'rtmp://a', ' rtsp://a '])('takes %s', (url) => {
    expect(check({ ...GOOD, url })).toEqual({})
  })

  it.each(['file:///etc/passwd', 'ftp://a', 'rtsp:/a', 'a', 'rtsp://'])('refuses %s', (url) => {
    expect(check({ ...GOOD, url })).toEqual({ url: 'system.url_scheme' })
  })

  it('names every field that is missing', () => {
    expect(check({ name: ' ', url: '', unit: '' })).toEqual({ name: 'system.name_missing', url: 'system.url_missing', unit: 'system.unit_missing' })
  })
})
