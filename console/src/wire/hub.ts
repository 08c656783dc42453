// Every REST call that the console makes, by noun. The compiler holds each against the hub's own document.
import { call } from './call'
import type * as T from './types'

export interface Page {
  cursor?: string | null
  limit?: number
}

const SLOW = 60_000 // ms, for uploads and scores

function form(text: string, picture: Blob | null | undefined): FormData {
  const data = new FormData()
  data.set('text', text)
  if (picture) data.set('picture', picture)
  return data
}

export const hub = {
  sessions: {
    current: () => call('get', '/api/v1/sessions/current', { quiet: true }),
    signIn: (username: string, password: string) =>
      call('post', '/api/v1/sessions', { body: { username, password }, quiet: true }),
    signOut: () => call('delete', '/api/v1/sessions/current', { quiet: true }),
  },
  demo: {
    people: () => call('get', '/api/v1/demo/people', { quiet: true }),
    signIn: (username: string) => call('post', '/api/v1/demo/sessions', { body: { username }, quiet: true }),
  },
  units: { list: () => call('get', '/api/v1/units', {}) },
  users: {
    list: () => call('get', '/api/v1/users', {}),
    add: (user: T.NewUser) => call('post', '/api/v1/users', { body: user }),
  },
  cameras: {
    list: (query: Page & { q?: string; unit?: string } = {}) => call('get', '/api/v1/cameras', { query }),
    get: (camera: string) => call('get', '/api/v1/cameras/{camera}', { path: { camera } }),
    add: (camera: T.NewCamera) => call('post', '/api/v1/cameras', { body: camera }),
    change: (camera: string, given: T.CameraPatch) =>
      call('patch', '/api/v1/cameras/{camera}', { path: { camera }, body: given }),
    remove: (camera: string) => call('delete', '/api/v1/cameras/{camera}', { path: { camera } }),
    command: (camera: string, command: T.CameraCommand) =>
      call('post', '/api/v1/cameras/{camera}/commands', { path: { camera }, body: command, keepalive: true }),
    records: (camera: string, start: number, end: number, signal?: AbortSignal) =>
      call('get', '/api/v1/cameras/{camera}/records', {
        path: { camera }, query: { start, end }, timeout: SLOW, ...(signal ? { signal } : {}),
      }),
  },
  playbacks: {
    open: (camera: string, given: T.NewPlayback) => call('post', '/api/v1/cameras/{camera}/playbacks', { path: { camera }, body: given }),
    control: (playback: string, given: T.PlaybackControl) =>
      call('post', '/api/v1/playbacks/{playback}/control', { path: { playback }, body: given }),
    end: (playback: string) => call('delete', '/api/v1/playbacks/{playback}', { path: { playback }, keepalive: true }),
    file: (playback: string) => `/api/v1/playbacks/${encodeURIComponent(playback)}.ts`,
  },
  gb28181: {
    get: () => call('get', '/api/v1/gb28181', {}),
    change: (given: T.GbDomainPatch) => call('patch', '/api/v1/gb28181', { body: given }),
  },
  devices: {
    list: (query: Page & { q?: string; state?: T.DeviceState } = {}) => call('get', '/api/v1/devices', { query }),
    get: (device: string) => call('get', '/api/v1/devices/{device}', { path: { device } }),
    add: (device: T.NewDevice) => call('post', '/api/v1/devices', { body: device }),
    change: (device: string, given: T.DevicePatch) =>
      call('patch', '/api/v1/devices/{device}', { path: { device }, body: given }),
    remove: (device: string) => call('delete', '/api/v1/devices/{device}', { path: { device } }),
    sync: (device: string) => call('post', '/api/v1/devices/{device}/catalog', { path: { device } }),
    channels: (device: string, after?: string | null) =>
      call('get', '/api/v1/devices/{device}/channels', { path: { device }, query: { after, limit: 1_000 } }),
    positions: (device: string) =>
      call('get', '/api/v1/devices/{device}/positions', { path: { device }, query: { limit: 200 } }),
    trace: (device: string) => call('get', '/api/v1/devices/{device}/trace', { path: { device } }),
  },
  platforms: {
    list: () => call('get', '/api/v1/platforms', {}),
    add: (platform: T.NewPlatform) => call('post', '/api/v1/platforms', { body: platform }),
    change: (platform: string, given: T.PlatformPatch) =>
      call('patch', '/api/v1/platforms/{platform}', { path: { platform }, body: given }),
    remove: (platform: string) => call('delete', '/api/v1/platforms/{platform}', { path: { platform } }),
    cameras: (platform: string) => call('get', '/api/v1/platforms/{platform}/cameras', { path: { platform }, timeout: SLOW }),
    share: (platform: string, items: T.ShareCamera[]) =>
      call('put', '/api/v1/platforms/{platform}/cameras', { path: { platform }, body: { items }, timeout: SLOW }),
  },
  rules: {
    list: (camera?: string) => call('get', '/api/v1/rules', { query: { camera } }),
    add: (rule: T.NewRule) => call('post', '/api/v1/rules', { body: rule }),
    enable: (rule: string, enabled: boolean) =>
      call('patch', '/api/v1/rules/{rule}', { path: { rule }, body: { enabled } }),
    remove: (rule: string) => call('delete', '/api/v1/rules/{rule}', { path: { rule } }),
  },
  alerts: {
    list: (query: Page & { state?: T.AlertState } = {}) => call('get', '/api/v1/alerts', { query }),
    get: (alert: string) => call('get', '/api/v1/alerts/{alert}', { path: { alert } }),
    acknowledge: (alert: string, reason = '') =>
      call('post', '/api/v1/alerts/{alert}/acknowledge', { path: { alert }, body: { reason } }),
    dismiss: (alert: string, reason: string) =>
      call('post', '/api/v1/alerts/{alert}/dismiss', { path: { alert }, body: { reason } }),
  },
  incidents: {
    list: (query: Page & { state?: T.Incident['state'] } = {}) => call('get', '/api/v1/incidents', { query }),
    get: (incident: string) => call('get', '/api/v1/incidents/{incident}', { path: { incident } }),
    open: (incident: T.NewIncident) => call('post', '/api/v1/incidents', { body: incident }),
    note: (incident: string, text: string) =>
      call('post', '/api/v1/incidents/{incident}/notes', { path: { incident }, body: { text } }),
    close: (incident: string, reason: string) =>
      call('post', '/api/v1/incidents/{incident}/close', { path: { incident }, body: { reason } }),
  },
  orders: {
    list: (query: Page & { incident?: string; unit?: string; state?: T.OrderState } = {}) =>
      call('get', '/api/v1/orders', { query }),
    get: (order: string) => call('get', '/api/v1/orders/{order}', { path: { order } }),
    issue: (order: T.NewOrder) => call('post', '/api/v1/orders', { body: order }),
    sign: (order: string) => call('post', '/api/v1/orders/{order}/sign', { path: { order } }),
    feedback: (order: string, text: string, picture?: Blob | null) =>
      call('post', '/api/v1/orders/{order}/feedback', { path: { order }, body: form(text, picture), timeout: SLOW }),
    review: (order: string, accepted: boolean, comment = '') =>
      call('post', '/api/v1/orders/{order}/review', { path: { order }, body: { accepted, comment } }),
    close: (order: string) => call('post', '/api/v1/orders/{order}/close', { path: { order } }),
  },
  conferences: {
    list: () => call('get', '/api/v1/conferences', {}),
    get: (conference: string) => call('get', '/api/v1/conferences/{conference}', { path: { conference } }),
    open: (conference: T.NewConference) => call('post', '/api/v1/conferences', { body: conference }),
  },
  drills: {
    scenarios: () => call('get', '/api/v1/drills/scenarios', {}),
    addScenario: (scenario: T.NewScenario) => call('post', '/api/v1/drills/scenarios', { body: scenario }),
    runs: () => call('get', '/api/v1/drills/runs', {}),
    plan: (scenario: string) => call('post', '/api/v1/drills/runs', { body: { scenario } }),
    run: (run: string) => call('get', '/api/v1/drills/runs/{run}', { path: { run } }),
    start: (run: string) => call('post', '/api/v1/drills/runs/{run}/start', { path: { run } }),
    end: (run: string, reason = '') => call('post', '/api/v1/drills/runs/{run}/end', { path: { run }, body: { reason } }),
    score: (run: string) => call('post', '/api/v1/drills/runs/{run}/score', { path: { run }, timeout: SLOW }),
    sheet: (run: string) => call('get', '/api/v1/drills/runs/{run}/score', { path: { run } }),
  },
  events: {
    list: (query: { after?: number; limit?: number; kind?: string; ref?: string } = {}) =>
      call('get', '/api/v1/events', { query }),
  },
  system: () => call('get', '/api/v1/system', {}),
}
