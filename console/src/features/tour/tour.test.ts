import { describe, expect, it } from 'vitest'
import { tourPage } from './tour'

const plain = { render: (text: string) => text }

describe('the tour', () => {
  it('leaves out its own heading and speaks of the port in use', () => {
    const text = '# Tour\n\nOpen `http://localhost:8800` or http://127.0.0.1:8800/wall\n'
    expect(tourPage(plain, text, '9300')).toBe('\nOpen `http://localhost:9300` or http://127.0.0.1:9300/wall\n')
    expect(tourPage(plain, text)).toContain('localhost:8800')
  })

  it('touches no other address', () => {
    expect(tourPage(plain, 'http://10.0.0.1:8800', '9300')).toBe('http://10.0.0.1:8800')
  })
})
