import type { NewCamera } from '@/wire/types'

const SCHEME = /^(rtsps?|https?|rtmp):\/\/./i

/** What is wrong with the form, by field, as i18n keys. Empty: it may be sent. */
export function check(camera: NewCamera): Partial<Record<keyof NewCamera, string>> {
  const wrong: Partial<Record<keyof NewCamera, string>> = {}
  if (!camera.name.trim()) wrong.name = 'system.name_missing'
  if (!camera.url.trim()) wrong.url = 'system.url_missing'
  else if (!SCHEME.test(camera.url.trim())) wrong.url = 'system.url_scheme'
  const sub = camera.sub_url?.trim()
  if (sub && !SCHEME.test(sub)) wrong.sub_url = 'system.url_scheme'
  if (!camera.unit) wrong.unit = 'system.unit_missing'
  return wrong
}
