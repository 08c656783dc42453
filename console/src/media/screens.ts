// The elements that show one stream: a picture may be small in a row and large above it at once. What they tell decides
// on the layer that is sent, and whether anything is sent at all. No framework.
import { Emitter, type Off } from '@/wire/emitter'

export interface ScreenEvents {
  frame: number | undefined // a new picture was shown: its RTP timestamp, where the browser tells it
  look: undefined // a width, or what can be seen, may have changed
}

interface Screen {
  callback: number
  seen: boolean
  leave: () => void
}

export class Screens extends Emitter<ScreenEvents> {
  readonly stream = new MediaStream()
  private readonly screens = new Map<HTMLVideoElement, Screen>()

  /** Show the stream in this element, too, until the returned function is called. */
  show(video: HTMLVideoElement): Off {
    this.screens.get(video)?.leave()
    const screen: Screen = { callback: 0, seen: true, leave: () => undefined }
    this.screens.set(video, screen)
    video.srcObject = this.stream
    this.awaitFrame(video, screen)
    const unwatch = this.watch(video, screen)
    screen.leave = () => {
      if (this.screens.get(video) !== screen) return
      this.screens.delete(video)
      if (screen.callback) video.cancelVideoFrameCallback(screen.callback)
      unwatch()
      this.emit('look', undefined)
    }
    this.emit('look', undefined)
    return screen.leave
  }

  /** Whether anybody can see it: an element that is shown and scrolled into view, on a page that is. */
  get seen(): boolean {
    return document.visibilityState !== 'hidden' && [...this.screens.values()].some((one) => one.seen)
  }

  /** Of the widest element that can be seen, in device pixels; null: not known, or none. */
  get width(): number | null {
    const widths = [...this.screens].filter(([, one]) => one.seen).map(([video]) => video.clientWidth)
    const width = Math.max(0, ...widths) * (window.devicePixelRatio || 1)
    return width > 0 ? width : null
  }

  /** These tracks instead of those of their kind. */
  put(tracks: readonly MediaStreamTrack[]): void {
    for (const track of tracks) {
      for (const old of this.stream.getTracks()) {
        if (old.kind === track.kind && old !== track) this.stream.removeTrack(old)
      }
      if (!this.stream.getTracks().includes(track)) this.stream.addTrack(track)
    }
  }

  private awaitFrame(video: HTMLVideoElement, screen: Screen): void {
    if (!('requestVideoFrameCallback' in video)) return
    screen.callback = video.requestVideoFrameCallback((_, frame) => {
      if (this.screens.get(video) !== screen) return
      this.emit('frame', frame.rtpTimestamp)
      this.awaitFrame(video, screen)
    })
  }

  private watch(video: HTMLVideoElement, screen: Screen): Off {
    if (typeof ResizeObserver === 'undefined' || typeof IntersectionObserver === 'undefined') return () => undefined
    const size = new ResizeObserver(() => { this.emit('look', undefined) })
    const place = new IntersectionObserver((entries) => {
      screen.seen = entries.at(-1)?.isIntersecting ?? true
      this.emit('look', undefined)
    })
    size.observe(video)
    place.observe(video)
    return () => {
      size.disconnect()
      place.disconnect()
    }
  }
}
