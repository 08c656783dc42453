// What a device itself calls an alarm. The hub keeps "GB/T 28181 <method>/<type> <words>" where an alert names its model.
// Codes: GB/T 28181-2016 A.2.5 (methods 1-7; types of methods 2, 5 and 6).

const SAID = /^GB\/T 28181 (\d)\/(\d+|-)\s*(.*)$/
const TYPES: Readonly<Record<string, number>> = { 2: 5, 5: 12, 6: 2 }

export interface DeviceAlarm {
  words: string // i18n key of the method or the type
  said: string // the device's own words
}

/** The device's alarm behind an alert, or null when it comes from a detection rule. */
export function deviceAlarm(alert: { kind: string; model: string }): DeviceAlarm | null {
  if (alert.kind !== 'device_alarm') return null
  const [, method = '0', type = '-', said = ''] = SAID.exec(alert.model) ?? []
  const known = Number(type) >= 1 && Number(type) <= (TYPES[method] ?? 0)
  if (known) return { words: `alerts.device.type_${method}_${type}`, said }
  return { words: `alerts.device.method_${Number(method) >= 1 && Number(method) <= 7 ? method : '7'}`, said }
}
