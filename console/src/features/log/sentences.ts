/** Turns an event of the log into one sentence. Pure: words come from the translator that is handed in. */

export interface LogEvent {
  kind: string
  ref: string
  data?: Record<string, unknown> | null
}

/** What the sentence needs beyond the event: names of the people and units that it mentions. */
export interface Names {
  unit: (id: string) => string
  unitName: string
  byName: string | null
  role: (role: string) => string
  time: (at: number) => string
  moment?: (at: number) => string // with the day: a recording may be of another one
  camera?: (id: string) => string
}

export type Translate = (key: string, params?: Record<string, unknown>) => string

/** Every kind of `hub/domain/events.py`, in the order of a matter's life. */
export const KINDS = [
  'account.signed_in',
  'account.sign_in_failed',
  'account.signed_out',
  'account.added',
  'camera.added',
  'camera.changed',
  'camera.removed',
  'camera.viewed',
  'camera.controlled',
  'camera.talked',
  'camera.played_back',
  'device.added',
  'device.changed',
  'device.removed',
  'platform.set',
  'platform.removed',
  'platform.shared',
  'rule.set',
  'rule.removed',
  'alert.raised',
  'alert.acknowledged',
  'alert.dismissed',
  'incident.opened',
  'incident.noted',
  'incident.closed',
  'conference.opened',
  'conference.rung',
  'conference.answered',
  'conference.declined',
  'conference.missed',
  'conference.joined',
  'conference.left',
  'conference.staged',
  'conference.unstaged',
  'conference.ended',
  'order.issued',
  'order.delivered',
  'order.signed',
  'order.feedback',
  'order.reviewed',
  'order.closed',
  'order.overdue',
  'drill.planned',
  'drill.started',
  'drill.injected',
  'drill.ended',
  'drill.scored',
  'system.started',
  'system.node_lost',
] as const

const KNOWN: ReadonlySet<string> = new Set(KINDS)

// What a hand on a camera does (hub/api/schemas_gb.py), and what of a device can be changed (hub/services/devices.py, cameras.py).
const DID = [
  'move', 'lens', 'preset', 'cruise', 'scan', 'switch', 'home', 'precise', 'keyframe',
  'guard', 'unguard', 'reset_alarm', 'record', 'stop_record', 'reboot', 'info', 'status',
] as const
const FIELDS = [
  'name', 'unit', 'password', 'enabled', 'media', 'sub_stream', 'charset', 'send_date', 'subscriptions', 'heartbeat_s', 'heartbeat_misses', 'accept_unknown',
  'url', 'sub_url',
] as const

/** The short name of a kind, or the kind itself when a newer hub sends one that is not known here. */
export function kindWord(t: Translate, kind: string): string {
  return KNOWN.has(kind) ? t(`log.kind.${kind}`) : kind
}

function variant(event: LogEvent): string {
  if (event.kind === 'order.reviewed') return event.data?.accepted === false ? 'order.reviewedNo' : 'order.reviewedYes'
  if (event.kind === 'device.changed' && event.ref === 'gb28181') return 'device.domain'
  if (event.kind === 'order.overdue') return event.data?.step === 'feedback' ? 'order.overdueFeedback' : 'order.overdueSign'
  return event.kind
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function known(t: Translate, group: string, value: unknown, words: readonly string[]): string {
  const key = text(value)
  return words.includes(key) ? t(`${group}.${key}`) : key
}

function parameters(t: Translate, event: LogEvent, names: Names): Record<string, unknown> {
  const data = event.data ?? {}
  const units = Array.isArray(data.units) ? data.units.map((id) => names.unit(text(id))) : []
  const camera = text(data.camera)
  return {
    unit: names.unitName,
    by: person(t, event, names),
    ref: event.kind.startsWith('camera.') && names.camera ? names.camera(event.ref) : event.ref,
    kind: event.kind,
    units: units.join(t('log.listSeparator')),
    camera: camera && names.camera ? names.camera(camera) : camera,
    method: known(t, 'log.method', data.method, ['password', 'demo']),
    ruleKind: known(t, 'rule_kind', data.rule_kind, ['crowd', 'intrusion', 'device_alarm']),
    severity: known(t, 'severity', data.severity, ['critical', 'major', 'minor', 'info']),
    enabled: t(data.enabled === false ? 'log.off' : 'log.on'),
    role: names.role(text(data.role)),
    score: typeof data.score === 'number' ? `${Math.round(data.score * 100)}%` : '',
    what: known(t, 'log.did', data.what, DID),
    from: typeof data.start === 'number' ? (names.moment ?? names.time)(data.start) : '',
    to: typeof data.end === 'number' ? (names.moment ?? names.time)(data.end) : '',
    fields: (Array.isArray(data.fields) ? data.fields : []).map((field) => known(t, 'log.field', field, FIELDS)).join(t('log.listSeparator')),
    cameras: text(data.cameras),
    due: typeof data.due_at === 'number' ? names.time(data.due_at) : '',
    ...plain(data, ['address', 'username', 'name', 'scheme', 'count', 'title', 'text', 'number', 'scenario']),
    ...plain(data, ['points', 'of', 'version', 'node']),
  }
}

function plain(data: Record<string, unknown>, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, text(data[key])]))
}

function person(t: Translate, event: LogEvent, names: Names): string {
  const by = text(event.data?.by)
  if (by === 'system') return t('log.system') // the hub's own name for itself is Chinese
  if (names.byName) return names.byName
  if (by === '') return t('log.system')
  const username = text(event.data?.username)
  if (event.kind === 'account.signed_in' && username) return username
  return t('log.unknownPerson', { id: by })
}

// What the hub itself gives as a reason, hub/services/conferences.py; '' needs no words.
const GIVEN: Readonly<Record<string, string>> = {
  'everybody left': 'log.given.everybodyLeft',
  'ended by the host': '',
  lost: 'log.given.lost',
}

/** A person's own words as they are; the hub's in the reader's language. */
function reasonOf(t: Translate, event: LogEvent): string {
  const reason = text(event.data?.reason)
  const key = event.kind.startsWith('conference.') ? GIVEN[reason] : undefined
  return key === undefined ? reason : key && t(key)
}

/** One sentence in the reader's language, without raw data. */
export function sentence(t: Translate, event: LogEvent, names: Names): string {
  if (!KNOWN.has(event.kind)) return t('log.says.unknown', { kind: event.kind })
  if (event.data === null) return kindWord(t, event.kind) + t('log.erased')
  const said = t(`log.says.${variant(event)}`, parameters(t, event, names))
  const reason = reasonOf(t, event)
  const comment = text(event.data?.comment)
  const picture = event.kind === 'order.feedback' && event.data?.picture_sha256 ? t('log.withPicture') : ''
  return said + picture + (reason ? t('log.because', { reason }) : '') + (comment ? t('log.comment', { comment }) : '')
}
