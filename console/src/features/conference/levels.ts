/** Who speaks: loudness of each stream, and the one that holds the floor. */

export interface Heard {
  id: string
  level: number // 0..1
}

const SPEECH = 0.04 // RMS: below this it is room noise
const HOLD = 1_500 // ms that the floor stays with who spoke last

/** The id of who speaks now. The floor changes only to somebody louder, or after a pause. */
export class Floor {
  private holder: string | null = null
  private since = 0

  next(heard: readonly Heard[], now: number): string | null {
    const loudest = heard.reduce<Heard | null>((best, one) => (one.level > (best?.level ?? SPEECH) ? one : best), null)
    const holding = heard.find((one) => one.id === this.holder)
    if (holding && holding.level > SPEECH) {
      if (loudest && loudest.id !== this.holder && loudest.level > holding.level * 1.5) this.take(loudest.id, now)
      else this.since = now
    } else if (loudest) {
      this.take(loudest.id, now)
    } else if (!holding || now - this.since > HOLD) {
      this.holder = null
    }
    return this.holder
  }

  private take(id: string, now: number): void {
    this.holder = id
    this.since = now
  }
}

/** Root mean square of one window of samples (−1..1). */
export function loudness(samples: Float32Array): number {
  let sum = 0
  for (const sample of samples) sum += sample * sample
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length)
}

interface Tap {
  source: MediaStreamAudioSourceNode
  analyser: AnalyserNode
}

/** Measures any number of streams with one audio context; nothing is played through it. */
export class Meter {
  private context: AudioContext | null = null
  private readonly taps = new Map<string, Tap>()
  private readonly window = new Float32Array(512)

  add(id: string, stream: MediaStream): void {
    this.remove(id)
    if (stream.getAudioTracks().length === 0) return
    try {
      this.context ??= new AudioContext()
      void this.context.resume().catch(() => undefined)
      const source = this.context.createMediaStreamSource(stream)
      const analyser = new AnalyserNode(this.context, { fftSize: this.window.length })
      source.connect(analyser)
      this.taps.set(id, { source, analyser })
    } catch {
      // without an audio context nobody is marked as speaking; the call goes on
    }
  }

  remove(id: string): void {
    this.taps.get(id)?.source.disconnect()
    this.taps.delete(id)
  }

  read(): Heard[] {
    return [...this.taps].map(([id, { analyser }]) => {
      analyser.getFloatTimeDomainData(this.window)
      return { id, level: Math.min(1, loudness(this.window)) }
    })
  }

  close(): void {
    for (const id of [...this.taps.keys()]) this.remove(id)
    void this.context?.close().catch(() => undefined)
    this.context = null
  }
}
