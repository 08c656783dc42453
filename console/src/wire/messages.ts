// The messages of /ws: types from signaling/wire.py, and the one parser.
import type { components } from './ws'

type S = components['schemas']

export type ClientMessage = S['ClientMessage']
export type ServerMessage = S['ServerMessage']
export type ServerType = ServerMessage['type']
export type MessageOf<K extends ServerType> = Extract<ServerMessage, { type: K }>
export type LogEvent = MessageOf<'event'>
export type CameraStateMessage = MessageOf<'camera.state'>
export type RingMessage = MessageOf<'ring'>

// Each type with the fields that must be there; the compiler holds this list against the generated union.
const REQUIRED: { [K in ServerType]: Partial<Record<keyof MessageOf<K>, 'string' | 'number' | 'object'>> } = {
  hello: { now: 'number', seq: 'number', user: 'object' },
  pong: { n: 'number', now: 'number' },
  event: { seq: 'number', kind: 'string', at: 'number', unit: 'string', ref: 'string' },
  'camera.state': { camera: 'string', state: 'string' },
  ring: { conference: 'string', member: 'string', title: 'string', caller: 'string', until: 'number' },
  'ring.ended': { conference: 'string', reason: 'string' },
  'conference.state': { conference: 'object' },
  presence: { units: 'object' },
  'media.move': { session: 'string', reason: 'string' },
  'media.offer': { session: 'string', revision: 'number', sdp: 'string', tracks: 'object' },
  'media.track': { key: 'string', state: 'string' },
  'media.ended': { session: 'string', reason: 'string' },
  error: { error: 'string', message: 'string' },
  bye: { reason: 'string' },
}

/** Parse one frame. Answers null for what is no message of this version (never throws). */
export function parseServer(text: unknown): ServerMessage | null {
  if (typeof text !== 'string') return null
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const record = value as Record<string, unknown>
  const type = record.type
  if (typeof type !== 'string' || !Object.hasOwn(REQUIRED, type)) return null
  for (const [field, kind] of Object.entries(REQUIRED[type as ServerType])) {
    if (typeof record[field] !== kind || record[field] === null) return null
  }
  return value as ServerMessage
}
