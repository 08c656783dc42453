// Times: absolute for the eye, relative on hover. Input is ms since the epoch by the hub's clock.
import { translate } from '@/i18n'

const two = (n: number) => String(n).padStart(2, '0')

/** 14:07:35 */
export function clockTime(at: number): string {
  const d = new Date(at)
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

/** 2026-11-21 */
export function dayOf(at: number): string {
  const d = new Date(at)
  return `${String(d.getFullYear())}-${two(d.getMonth() + 1)}-${two(d.getDate())}`
}

/** 14:07:35 today, 11-20 14:07:35 this year, else with the year. */
export function shortTime(at: number, now: number): string {
  if (dayOf(at) === dayOf(now)) return clockTime(at)
  const day = dayOf(at)
  return `${day.slice(0, 4) === dayOf(now).slice(0, 4) ? day.slice(5) : day} ${clockTime(at)}`
}

/** 2026-11-21 14:07:35 */
export function fullTime(at: number): string {
  return `${dayOf(at)} ${clockTime(at)}`
}

/** "3 minutes ago" in the language in force. */
export function ago(at: number, now: number): string {
  const s = Math.max(0, Math.round((now - at) / 1000))
  if (s < 5) return translate('ago.now')
  if (s < 60) return translate('ago.seconds', { n: s })
  if (s < 3_600) return translate('ago.minutes', { n: Math.floor(s / 60) })
  if (s < 86_400) return translate('ago.hours', { n: Math.floor(s / 3_600) })
  return translate('ago.days', { n: Math.floor(s / 86_400) })
}

/** 75 s as 1:15; 3 675 s as 1:01:15. Negative values carry a minus. */
export function duration(seconds: number): string {
  const s = Math.abs(Math.round(seconds))
  const [h, m, rest] = [Math.floor(s / 3_600), Math.floor((s % 3_600) / 60), s % 60]
  const text = h > 0 ? `${String(h)}:${two(m)}:${two(rest)}` : `${String(m)}:${two(rest)}`
  return seconds < 0 ? `-${text}` : text
}
