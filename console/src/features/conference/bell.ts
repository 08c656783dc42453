/** The bell of a called terminal: two tones, on and off, until stopped. Silent where the browser forbids sound. */

const TONES = [660, 880] // Hz
const ON = 0.9 // s
const PERIOD = 2_000 // ms
const LOUDNESS = 0.35

export interface Bell {
  stop: () => void
  audible: () => boolean
}

/** Ring until `stop`. `changed` is called when the browser lets sound through after all, or stops doing so. */
export function ring(changed: () => void = () => undefined): Bell {
  let context: AudioContext
  try {
    context = new AudioContext()
  } catch {
    return { stop: () => undefined, audible: () => false }
  }
  const wake = () => void context.resume().catch(() => undefined)
  const strike = () => {
    if (context.state === 'running') chime(context)
  }
  context.onstatechange = () => {
    changed()
    strike()
  }
  wake()
  strike()
  const timer = setInterval(strike, PERIOD)
  // browsers let sound through only after the person has touched the page
  const gestures = ['pointerdown', 'keydown'] as const
  for (const name of gestures) window.addEventListener(name, wake)
  return {
    audible: () => context.state === 'running',
    stop: () => {
      clearInterval(timer)
      for (const name of gestures) window.removeEventListener(name, wake)
      context.onstatechange = null
      void context.close().catch(() => undefined)
    },
  }
}

function chime(context: AudioContext): void {
  TONES.forEach((frequency, place) => {
    const start = context.currentTime + (place * ON) / TONES.length
    const end = start + ON / TONES.length
    const tone = new OscillatorNode(context, { type: 'triangle', frequency })
    const volume = new GainNode(context, { gain: 0 })
    volume.gain.setValueAtTime(0, start)
    volume.gain.linearRampToValueAtTime(LOUDNESS, start + 0.02)
    volume.gain.setValueAtTime(LOUDNESS, end - 0.05)
    volume.gain.linearRampToValueAtTime(0, end)
    tone.connect(volume).connect(context.destination)
    tone.start(start)
    tone.stop(end)
  })
}
