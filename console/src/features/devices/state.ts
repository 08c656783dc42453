// How a device or a platform stands, as tone and words.
import type { Tone } from '@/ui/StateMark.vue'
import type { Device, Platform } from '@/wire/types'

/** `known`: a gateway runs; without one a state is only what was last heard. */
export function deviceTone(device: Pick<Device, 'state' | 'enabled'>, known = true): Tone {
  if (!device.enabled || !known) return 'quiet'
  return device.state === 'online' ? 'good' : device.state === 'offline' ? 'bad' : 'quiet'
}

const PLATFORM: Readonly<Record<Platform['state'], Tone>> = { online: 'good', registering: 'busy', offline: 'bad', refused: 'bad', unknown: 'quiet' }

export function platformTone(platform: Pick<Platform, 'state' | 'enabled'>): Tone {
  return platform.enabled ? PLATFORM[platform.state] : 'quiet'
}

/** Since when it is in its state; null: not known. */
export function sinceOf(device: Pick<Device, 'state' | 'registered_at' | 'keepalive_at'>): number | null {
  return device.state === 'online' ? device.registered_at : (device.keepalive_at ?? device.registered_at)
}

/** Why it does not work: the last refused registration where that is later than the last good one, else its reason. */
export function troubleOf(device: Pick<Device, 'state' | 'reason' | 'failure' | 'failed_at' | 'registered_at'>): string | null {
  if (device.failure && (device.failed_at ?? 0) > (device.registered_at ?? 0)) return device.failure
  return device.state === 'online' ? null : device.reason
}

/** How far a catalogue has come. `ratio` null: the device has not said how many there are. */
export function catalogOf(device: Pick<Device, 'catalog_done' | 'catalog_received' | 'catalog_expected' | 'catalog_missing' | 'catalog_at'>): {
  phase: 'never' | 'running' | 'done' | 'missing'
  ratio: number | null
} {
  const expected = device.catalog_expected
  const ratio = expected ? Math.min(1, device.catalog_received / expected) : null
  if (device.catalog_at === null && device.catalog_received === 0) return { phase: 'never', ratio: null }
  if (device.catalog_done) return { phase: device.catalog_missing > 0 ? 'missing' : 'done', ratio: 1 }
  return { phase: 'running', ratio }
}
