import type { Tone } from '@/ui/StateMark.vue'
import type { AlertState } from '@/wire/types'

export function toneOf(state: AlertState): Tone {
  return state === 'active' ? 'warn' : state === 'acknowledged' ? 'good' : 'quiet'
}
