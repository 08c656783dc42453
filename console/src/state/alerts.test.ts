import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi, type MockInstance } from 'vitest'
import { sound } from '@/ui/sound'
import { ApiError } from '@/wire/http'
import { hub } from '@/wire/hub'
import type { Alert, Alerts, Me } from '@/wire/types'
import { newestFirst, useAlerts } from './alerts'
import { useSession } from './session'

function alert(id: string, at: number, over: Partial<Alert> = {}): Alert {
  return { id, raised_at: at, last_at: at, severity: 'major', state: 'active', rule_name: 'r', camera_name: 'c', repeats: 0, ...over } as Alert
}

function answer(items: Alert[], active = items.length): Alerts {
  return { items, total: items.length, active, next: null }
}

vi.mock('@/ui/sound', () => ({ sound: vi.fn() })) // happy-dom has no audio
let list: MockInstance<typeof hub.alerts.list>

beforeEach(() => {
  setActivePinia(createPinia())
  list = vi.spyOn(hub.alerts, 'list')
  vi.mocked(sound).mockClear()
  useSession().me = { id: 'usr-1', rights: ['alert.read'] } as unknown as Me
})

describe('useAlerts', () => {
  it('puts the newest on top', () => {
    expect(newestFirst([alert('a', 1), alert('b', 3), alert('c', 2)]).map((one) => one.id)).toEqual(['b', 'c', 'a'])
  })

  it('asks nothing without the right', async () => {
    useSession().me = { id: 'usr-1', rights: [] } as unknown as Me
    await useAlerts().refresh()
    expect(list).not.toHaveBeenCalled()
  })

  it('is silent about what was there at sign-in, and sounds once for what is new', async () => {
    const alerts = useAlerts()
    list.mockResolvedValueOnce(answer([alert('a', 1)]))
    await alerts.refresh()
    expect(sound).not.toHaveBeenCalled()
    list.mockResolvedValueOnce(answer([alert('c', 3), alert('b', 2, { severity: 'critical' }), alert('a', 1)]))
    await alerts.refresh()
    expect(sound).toHaveBeenCalledExactlyOnceWith('critical')
    expect(alerts.spoken).not.toBe('')
    list.mockResolvedValueOnce(answer([alert('c', 3, { repeats: 4 }), alert('b', 2), alert('a', 1)]))
    await alerts.refresh()
    expect(sound).toHaveBeenCalledOnce()
    expect(alerts.queue[0]?.repeats).toBe(4)
  })

  it('takes a handled alert off the queue and the count at once', async () => {
    const alerts = useAlerts()
    list.mockResolvedValueOnce(answer([alert('a', 1), alert('b', 2)], 7))
    await alerts.refresh()
    alerts.take(alert('a', 1, { state: 'acknowledged' }))
    expect(alerts.queue.map((one) => one.id)).toEqual(['b'])
    expect(alerts.active).toBe(6)
    alerts.take(alert('z', 9, { state: 'dismissed' })) // was not in the queue: the count stays
    expect(alerts.active).toBe(6)
  })

  it('keeps what it has when the hub is away', async () => {
    const alerts = useAlerts()
    list.mockResolvedValueOnce(answer([alert('a', 1)]))
    await alerts.refresh()
    list.mockRejectedValueOnce(new ApiError({ id: 'network.unreachable', message: '', status: 0 }))
    await alerts.refresh()
    expect(alerts.queue).toHaveLength(1)
    expect(alerts.problem).toBeInstanceOf(ApiError)
  })
})
