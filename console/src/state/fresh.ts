import { useDebounceFn } from '@vueuse/core'
import { onBeforeUnmount } from 'vue'
import type { LogEvent } from '@/wire/messages'
import { useLink } from './link'

const SOON = 300 // ms: events come in bursts

/** Load again soon after an event that matters, and at once when the line is up again, as long as the component stands. */
export function useFresh(load: () => Promise<void>, matters: (event: LogEvent) => boolean): void {
  const link = useLink()
  const soon = useDebounceFn(load, SOON)
  const offs = [
    link.on('event', (event) => {
      if (matters(event)) void soon()
    }),
    link.on('ready', () => void load()),
  ]
  onBeforeUnmount(() => {
    for (const off of offs) off()
  })
}
