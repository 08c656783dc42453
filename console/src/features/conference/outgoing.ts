import { type Ref, ref, type ShallowRef, shallowRef } from 'vue'
import { type Publishing, WhipPublisher } from '@/media/whip'
import { closeDevices, type Devices, openDevices } from './devices'

export interface Outgoing {
  local: Readonly<ShallowRef<MediaStream | null>>
  devices: Readonly<ShallowRef<Devices | null>>
  audio: Readonly<Ref<boolean>>
  video: Readonly<Ref<boolean>>
  publishing: Readonly<ShallowRef<Publishing>>
  open: () => Promise<void>
  publish: (conference: string) => void
  setAudio: (on: boolean) => void
  setVideo: (on: boolean) => void
  close: () => void
}

const IDLE: Publishing = { phase: 'idle', reason: null, retryAt: null }

/** What this terminal sends: its devices, and the one WHIP session. `changed` is called when what is sent changes. */
export function outgoing(changed: () => void): Outgoing {
  const local = shallowRef<MediaStream | null>(null)
  const devices = shallowRef<Devices | null>(null)
  const audio = ref(false)
  const video = ref(false)
  const publishing = shallowRef<Publishing>(IDLE)
  let publisher: WhipPublisher | null = null
  let turn = 0 // a later open or close makes an earlier answer void

  function say(): void {
    const on = (tracks: MediaStreamTrack[]) => tracks.some((track) => track.enabled && track.readyState === 'live')
    audio.value = on(local.value?.getAudioTracks() ?? [])
    video.value = on(local.value?.getVideoTracks() ?? [])
    changed()
  }

  function enable(tracks: MediaStreamTrack[], on: boolean): void {
    for (const track of tracks) track.enabled = on
    say()
  }

  function unplugged(): void {
    if (devices.value) devices.value = { ...devices.value, trouble: 'missing', name: 'ended' }
    say()
  }

  async function open(): Promise<void> {
    turn += 1
    const mine = turn
    closeDevices(local.value)
    const found = await openDevices()
    if (mine !== turn) {
      closeDevices(found.stream)
      return
    }
    devices.value = found
    local.value = found.stream
    for (const track of found.stream?.getTracks() ?? []) track.onended = unplugged
    say()
  }

  function publish(conference: string): void {
    publisher?.stop()
    publisher = null
    publishing.value = IDLE
    if (!local.value) return // a listener sends nothing
    publisher = new WhipPublisher({ url: `/whip/conferences/${encodeURIComponent(conference)}` })
    publisher.on('change', (view) => {
      publishing.value = view
    })
    publisher.start(local.value)
  }

  function close(): void {
    turn += 1
    publisher?.stop()
    publisher = null
    closeDevices(local.value)
    local.value = null
    devices.value = null
    audio.value = false
    video.value = false
    publishing.value = IDLE
  }

  return {
    local,
    devices,
    audio,
    video,
    publishing,
    open,
    publish,
    close,
    setAudio: (on) => { enable(local.value?.getAudioTracks() ?? [], on) },
    setVideo: (on) => { enable(local.value?.getVideoTracks() ?? [], on) },
  }
}
