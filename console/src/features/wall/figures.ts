// The figures of one picture, as a dialog shows them. Pure.
import type { View } from '@/media/watching'
import type { Camera } from '@/wire/types'

export interface Figure {
  label: string
  word?: string // says the value with its unit; without one the value is said as it is
  value: Record<string, string | number> | null // null: not measured
}

const one = (label: string, word: string, n: number | null | undefined): Figure => ({ label, word, value: n === null || n === undefined ? null : { n } })

/** Whether this viewer gets a picture that was made anew: who decodes H.265 gets what the camera sent. */
export function transcoded(view: View, camera: Camera | undefined): boolean {
  return camera?.transcoded === true && view.stats !== null && view.stats.codec?.toUpperCase() !== 'H265'
}

export function figuresOf(view: View, camera: Camera | undefined): Figure[] {
  const stats = view.stats
  const size = stats?.width && stats.height ? { n: `${String(stats.width)} × ${String(stats.height)}` } : null
  const loss = stats?.loss ?? null
  return [
    { label: 'wall.figure_size', value: size },
    one('wall.figure_fps', 'wall.fps_n', stats && stats.fps !== null ? Math.round(stats.fps) : null),
    { label: 'wall.figure_codec', value: stats?.codec ? { n: stats.codec } : null },
    { label: 'wall.figure_transcoded', word: transcoded(view, camera) ? 'wall.figure_yes' : 'wall.figure_no', value: stats ? {} : null },
    { label: 'wall.figure_layer', word: stats?.layer ? 'wall.figure_layer_of' : 'wall.figure_layer_one', value: stats ? { ...stats.layer } : null },
    one('wall.figure_rate', 'wall.kbps_n', stats?.kbps),
    one('wall.loss', 'wall.loss_of', loss === null ? null : Number((loss * 100).toFixed(1))),
    one('wall.delay', 'wall.delay_ms', stats?.delay),
    one('wall.figure_rtt', 'wall.delay_ms', stats?.rtt),
    one('wall.figure_first', 'wall.delay_ms', view.firstFrameMs),
  ]
}
