import type { Camera, CameraPatch, NewCamera } from '@/wire/types'

const SCHEME = /^(rtsps?|https?|rtmp):\/\/./i

/** What is wrong with the form, by field, as i18n keys. Empty: it may be sent. An edit may leave the address out. */
export function check(camera: NewCamera, edit = false): Partial<Record<keyof NewCamera, string>> {
  const wrong: Partial<Record<keyof NewCamera, string>> = {}
  if (!camera.name.trim()) wrong.name = 'system.name_missing'
  if (!camera.url.trim()) {
    if (!edit) wrong.url = 'system.url_missing'
  } else if (!SCHEME.test(camera.url.trim())) wrong.url = 'system.url_scheme'
  const sub = camera.sub_url?.trim()
  if (sub && !SCHEME.test(sub)) wrong.sub_url = 'system.url_scheme'
  if (!camera.unit) wrong.unit = 'system.unit_missing'
  return wrong
}

/** What of the form is news for the camera; `drop`: it has no sub stream any more. */
export function patchOf(form: NewCamera, camera: Camera, drop: boolean): CameraPatch {
  const patch: CameraPatch = {}
  if (form.name.trim() !== camera.name) patch.name = form.name.trim()
  if (form.unit !== camera.unit) patch.unit = form.unit
  if (form.url.trim()) patch.url = form.url.trim()
  if (drop) patch.sub_url = null
  else if (form.sub_url?.trim()) patch.sub_url = form.sub_url.trim()
  return patch
}
