import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { useCameras } from './cameras'

describe('who speaks to a camera', () => {
  beforeEach(() => {
    setActivePinia(createPinia())
  })

  it('is known by name as long as the socket says so', () => {
    const cameras = useCameras()
    const said = { type: 'camera.state', camera: 'cam-1', state: 'live' } as const
    cameras.apply({ ...said, talking: '赵指挥' })
    expect([...cameras.talking]).toEqual([['cam-1', '赵指挥']])
    const before = cameras.talking
    cameras.apply({ ...said, talking: '赵指挥' })
    expect(cameras.talking).toBe(before) // nothing to draw anew
    cameras.apply({ ...said, talking: null })
    expect(cameras.talking.size).toBe(0)
  })

  it('is forgotten with the sign-in', () => {
    const cameras = useCameras()
    cameras.apply({ type: 'camera.state', camera: 'cam-1', state: 'live', talking: '钱' })
    cameras.reset()
    expect(cameras.talking.size).toBe(0)
  })
})
