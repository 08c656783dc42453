// What is wrong with a device or a platform before it is sent, by field, as i18n keys. Pure.

const ID = /^[0-9]{18,20}$/
const DOMAIN = /^[0-9]{8,20}$/
const HOST = /^[0-9A-Za-z.:_-]{1,255}$/

export interface DeviceDraft {
  id: string
  name: string
  unit: string
}
export interface PlatformDraft {
  id: string
  name: string
  domain: string
  host: string
  local_id: string
}

export function checkDevice(draft: DeviceDraft): Partial<Record<keyof DeviceDraft, string>> {
  const wrong: Partial<Record<keyof DeviceDraft, string>> = {}
  if (!ID.test(draft.id)) wrong.id = 'devices.form.id_wrong'
  if (!draft.name.trim()) wrong.name = 'devices.form.name_missing'
  if (!draft.unit) wrong.unit = 'devices.form.unit_missing'
  return wrong
}

export function checkPlatform(draft: PlatformDraft): Partial<Record<keyof PlatformDraft, string>> {
  const wrong: Partial<Record<keyof PlatformDraft, string>> = {}
  if (!ID.test(draft.id)) wrong.id = 'devices.form.id_wrong'
  if (!draft.name.trim()) wrong.name = 'devices.form.name_missing'
  if (!DOMAIN.test(draft.domain)) wrong.domain = 'platforms.form.domain_wrong'
  if (!HOST.test(draft.host)) wrong.host = 'platforms.form.host_wrong'
  if (!ID.test(draft.local_id)) wrong.local_id = 'devices.form.id_wrong'
  return wrong
}

export type Secret = 'keep' | 'own' | 'domain'

/** The password as the interface takes it: left out stays, empty means the domain's. */
export function passwordOf(choice: Secret, typed: string): { password?: string } {
  if (choice === 'keep') return {}
  return { password: choice === 'own' ? typed : '' }
}
