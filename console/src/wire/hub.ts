// Every REST call that the console makes, by noun. Types come from the hub's own models.
import { ask } from './http'
import type * as T from './types'

const V1 = '/api/v1'
const id = encodeURIComponent

export interface Page {
  cursor?: string | null
  limit?: number
}

export const hub = {
  sessions: {
    current: () => ask<T.Me>(`${V1}/sessions/current`, { quiet: true }),
    signIn: (username: string, password: string) =>
      ask<T.Session>(`${V1}/sessions`, { method: 'POST', body: { username, password }, quiet: true }),
    signOut: () => ask<undefined>(`${V1}/sessions/current`, { method: 'DELETE', quiet: true }),
  },
  demo: {
    people: () => ask<T.DemoPeople>(`${V1}/demo/people`, { quiet: true }),
    signIn: (username: string) =>
      ask<T.Session>(`${V1}/demo/sessions`, { method: 'POST', body: { username }, quiet: true }),
  },
  units: { list: () => ask<T.Units>(`${V1}/units`) },
  users: {
    list: () => ask<T.Users>(`${V1}/users`),
    add: (user: T.NewUser) => ask<T.User>(`${V1}/users`, { method: 'POST', body: user }),
  },
  cameras: {
    list: (query: Page & { q?: string; unit?: string } = {}) => ask<T.Cameras>(`${V1}/cameras`, { query: { ...query } }),
    get: (camera: string) => ask<T.Camera>(`${V1}/cameras/${id(camera)}`),
    add: (camera: T.NewCamera) => ask<T.Camera>(`${V1}/cameras`, { method: 'POST', body: camera }),
    remove: (camera: string) => ask<undefined>(`${V1}/cameras/${id(camera)}`, { method: 'DELETE' }),
  },
  rules: {
    list: (camera?: string) => ask<T.Rules>(`${V1}/rules`, { query: { camera } }),
    add: (rule: T.NewRule) => ask<T.Rule>(`${V1}/rules`, { method: 'POST', body: rule }),
    enable: (rule: string, enabled: boolean) =>
      ask<T.Rule>(`${V1}/rules/${id(rule)}`, { method: 'PATCH', body: { enabled } }),
    remove: (rule: string) => ask<undefined>(`${V1}/rules/${id(rule)}`, { method: 'DELETE' }),
  },
  alerts: {
    list: (query: Page & { state?: T.AlertState } = {}) => ask<T.Alerts>(`${V1}/alerts`, { query: { ...query } }),
    get: (alert: string) => ask<T.Alert>(`${V1}/alerts/${id(alert)}`),
    acknowledge: (alert: string, reason = '') =>
      ask<T.Alert>(`${V1}/alerts/${id(alert)}/acknowledge`, { method: 'POST', body: { reason } }),
    dismiss: (alert: string, reason: string) =>
      ask<T.Alert>(`${V1}/alerts/${id(alert)}/dismiss`, { method: 'POST', body: { reason } }),
  },
  incidents: {
    list: (query: Page & { state?: T.Incident['state'] } = {}) =>
      ask<T.Incidents>(`${V1}/incidents`, { query: { ...query } }),
    get: (incident: string) => ask<T.IncidentFile>(`${V1}/incidents/${id(incident)}`),
    open: (incident: T.NewIncident) => ask<T.Incident>(`${V1}/incidents`, { method: 'POST', body: incident }),
    note: (incident: string, text: string) =>
      ask<T.Incident>(`${V1}/incidents/${id(incident)}/notes`, { method: 'POST', body: { text } }),
    close: (incident: string, reason: string) =>
      ask<T.Incident>(`${V1}/incidents/${id(incident)}/close`, { method: 'POST', body: { reason } }),
  },
  orders: {
    list: (query: Page & { incident?: string; unit?: string; state?: T.OrderState } = {}) =>
      ask<T.Orders>(`${V1}/orders`, { query: { ...query } }),
    get: (order: string) => ask<T.Order>(`${V1}/orders/${id(order)}`),
    issue: (order: T.NewOrder) => ask<T.Order>(`${V1}/orders`, { method: 'POST', body: order }),
    sign: (order: string) => ask<T.Order>(`${V1}/orders/${id(order)}/sign`, { method: 'POST' }),
    feedback: (order: string, text: string, picture?: Blob | null) => {
      const form = new FormData()
      form.set('text', text)
      if (picture) form.set('picture', picture)
      return ask<T.Order>(`${V1}/orders/${id(order)}/feedback`, { method: 'POST', body: form, timeout: 60_000 })
    },
    review: (order: string, accepted: boolean, comment = '') =>
      ask<T.Order>(`${V1}/orders/${id(order)}/review`, { method: 'POST', body: { accepted, comment } }),
    close: (order: string) => ask<T.Order>(`${V1}/orders/${id(order)}/close`, { method: 'POST' }),
  },
  conferences: {
    list: () => ask<T.Conferences>(`${V1}/conferences`),
    get: (conference: string) => ask<T.Conference>(`${V1}/conferences/${id(conference)}`),
    open: (conference: T.NewConference) =>
      ask<T.Conference>(`${V1}/conferences`, { method: 'POST', body: conference }),
  },
  drills: {
    scenarios: () => ask<T.Scenarios>(`${V1}/drills/scenarios`),
    addScenario: (scenario: T.NewScenario) =>
      ask<T.Scenario>(`${V1}/drills/scenarios`, { method: 'POST', body: scenario }),
    runs: () => ask<T.Runs>(`${V1}/drills/runs`),
    plan: (scenario: string) => ask<T.Run>(`${V1}/drills/runs`, { method: 'POST', body: { scenario } }),
    run: (run: string) => ask<T.Run>(`${V1}/drills/runs/${id(run)}`),
    start: (run: string) => ask<T.Run>(`${V1}/drills/runs/${id(run)}/start`, { method: 'POST' }),
    end: (run: string, reason = '') =>
      ask<T.Run>(`${V1}/drills/runs/${id(run)}/end`, { method: 'POST', body: { reason } }),
    score: (run: string) => ask<T.ScoreSheet>(`${V1}/drills/runs/${id(run)}/score`, { method: 'POST', timeout: 60_000 }),
    sheet: (run: string) => ask<T.ScoreSheet>(`${V1}/drills/runs/${id(run)}/score`),
  },
  events: {
    list: (query: { after?: number; limit?: number; kind?: string; ref?: string } = {}) =>
      ask<T.Events>(`${V1}/events`, { query }),
  },
  system: () => ask<T.System>(`${V1}/system`),
}
