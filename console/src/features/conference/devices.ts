/** Camera and microphone of this terminal: ask for both, take what there is, and say why when there is nothing. */

export type DeviceTrouble = 'insecure' | 'denied' | 'missing' | 'busy' | 'failed'

export interface Devices {
  stream: MediaStream | null
  audio: boolean
  video: boolean
  trouble: DeviceTrouble | null // why something that was asked for is not there
  name: string // the browser's own name of the trouble
}

export interface Platform {
  secure: boolean
  media: Pick<MediaDevices, 'getUserMedia'> | undefined
}

const VIDEO: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 25, max: 30 },
}
const AUDIO: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true }

const ATTEMPTS: readonly MediaStreamConstraints[] = [
  { audio: AUDIO, video: VIDEO },
  { audio: AUDIO, video: false },
  { audio: false, video: VIDEO },
]

const TROUBLES: Readonly<Record<string, DeviceTrouble>> = {
  NotAllowedError: 'denied',
  SecurityError: 'insecure',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
}

/** Answers what could be had; never throws. A refusal by the person is asked once, not three times. */
export async function openDevices(platform: Platform = browserPlatform()): Promise<Devices> {
  if (!platform.secure || !platform.media) return nothing('insecure', 'insecure context')
  let first: { trouble: DeviceTrouble; name: string } | null = null
  for (const wanted of ATTEMPTS) {
    try {
      const stream = await platform.media.getUserMedia(wanted)
      const audio = stream.getAudioTracks().length > 0
      const video = stream.getVideoTracks().length > 0
      return { stream, audio, video, trouble: first?.trouble ?? null, name: first?.name ?? '' }
    } catch (error) {
      const name = error instanceof Error ? error.name : 'Error'
      first ??= { trouble: TROUBLES[name] ?? 'failed', name }
    }
  }
  return nothing(first?.trouble ?? 'failed', first?.name ?? '')
}

export function closeDevices(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

function nothing(trouble: DeviceTrouble, name: string): Devices {
  return { stream: null, audio: false, video: false, trouble, name }
}

function browserPlatform(): Platform {
  // mediaDevices is missing from insecure contexts, whatever its type says
  return { secure: window.isSecureContext, media: navigator.mediaDevices as MediaDevices | undefined }
}
