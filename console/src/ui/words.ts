// From what the hub says to what a person reads.
import { known, language, translate } from '@/i18n'
import { ApiError } from '@/wire/http'

/** Words for an error id such as `camera.url_refused`, or null. */
export function wordsOfId(id: string): string | null {
  const key = `error.${id.replaceAll('.', '_')}`
  return known(key) ? translate(key) : null
}

/** One sentence for anything that was thrown: the cause, and where possible the remedy. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError)) return translate('error.unexpected', { id: error instanceof Error ? error.name : '—' })
  const words = wordsOfId(error.id)
  if (words) return words
  const status = `error.status_${String(error.status)}`
  if (known(status)) return translate(status, { message: error.message })
  return translate('error.unexpected', { id: error.id })
}

/** Why a camera's picture does not come (`source.unreachable`, `relay.none` …). */
export function reasonWords(reason: string | null | undefined): string {
  if (!reason) return ''
  if (known(reason)) return translate(reason)
  return wordsOfId(reason) ?? translate('source.failed')
}

/** The name of the camera that an alert tells of, in the language in force. */
export function cameraOf(alert: { camera_name: string; camera_name_en?: string | null }): string {
  return label({ name: alert.camera_name, name_en: alert.camera_name_en ?? null })
}

/** What raised an alert: the rule's own name; a device's alarm has none that somebody gave it. */
export function ruleOf(alert: { kind: string; rule_name: string }): string {
  return alert.kind === 'device_alarm' ? translate('rule_kind.device_alarm') : alert.rule_name
}

/** The name of a thing in the language in force: `name_en` where there is one. */
export function label(thing: { name: string; name_en?: string | null }): string {
  return language() === 'en' && thing.name_en ? thing.name_en : thing.name
}

/** Things by name, 通道2 before 通道10: each number counts as one, whatever its length. */
export function inOrder<T extends { name: string }>(things: Iterable<T>): T[] {
  const keyed = [...things].map((thing): [string, T] => [thing.name.replace(/\d+/g, (digits) => digits.padStart(12, '0')), thing])
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, thing]) => thing)
}
