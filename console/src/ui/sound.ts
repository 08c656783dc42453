// One short sound for a new alert. Browsers allow it after the first click or key, so it is unlocked then.
import { ref } from 'vue'
import type { Severity } from '@/wire/types'

const KEY = 'sharpeyes.muted'
const TONES: Record<Severity, number[]> = {
  critical: [880, 660, 880, 660],
  major: [880, 660],
  minor: [660],
  info: [520],
}

export const muted = ref(localStorage.getItem(KEY) === '1')
export const locked = ref(true) // the browser has not yet allowed sound

let context: AudioContext | null = null

export function setMuted(to: boolean): void {
  muted.value = to
  localStorage.setItem(KEY, to ? '1' : '0')
}

/** To be called from a click or a key press. */
export async function unlock(): Promise<void> {
  try {
    context ??= new AudioContext()
    await context.resume()
    locked.value = context.state !== 'running'
  } catch {
    locked.value = true // no sound device: the console stays silent and says so
  }
}

/** Unlock at the first gesture, once. */
export function unlockAtFirstGesture(): void {
  const once = (): void => {
    removeEventListener('pointerdown', once)
    removeEventListener('keydown', once)
    void unlock()
  }
  addEventListener('pointerdown', once)
  addEventListener('keydown', once)
}

function beep(at: number, hertz: number, audio: AudioContext): void {
  const tone = audio.createOscillator()
  const gain = audio.createGain()
  tone.frequency.value = hertz
  gain.gain.setValueAtTime(0, at)
  gain.gain.linearRampToValueAtTime(0.18, at + 0.01)
  gain.gain.setValueAtTime(0.18, at + 0.12)
  gain.gain.linearRampToValueAtTime(0, at + 0.15)
  tone.connect(gain).connect(audio.destination)
  tone.start(at)
  tone.stop(at + 0.16)
}

/** Sound once. `force` is for the test button. */
export function sound(severity: Severity, force = false): void {
  if (!context || context.state !== 'running' || (muted.value && !force)) return
  const start = context.currentTime + 0.01
  for (const [index, hertz] of TONES[severity].entries()) beep(start + index * 0.18, hertz, context)
}
