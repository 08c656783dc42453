// Keys of the page in view, listed under `?`. Nothing fires while someone types or a dialog is open.
import { onBeforeMount, onBeforeUnmount, shallowReactive } from 'vue'

export interface Binding {
  key: string | string[] // KeyboardEvent.key, letters in lower case
  label: string // i18n key of what it does
  run: (event: KeyboardEvent) => void
  when?: () => boolean
}

export interface Scope {
  title: string // i18n key
  bindings: Binding[]
}

/** Scopes in force, outermost first. */
export const scopes = shallowReactive<Scope[]>([])

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || target.closest('input, textarea, select, [role="combobox"]') !== null
}

export function dialogOpen(): boolean {
  return [...document.querySelectorAll<HTMLElement>('.el-overlay, .el-image-viewer__wrapper, [role="dialog"][aria-modal="true"]')].some(
    (element) => element.style.display !== 'none' && element.getClientRects().length > 0,
  )
}

function matches(binding: Binding, event: KeyboardEvent): boolean {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
  return ([] as string[]).concat(binding.key).includes(key) && (binding.when?.() ?? true)
}

/** Find and run the innermost binding. Answers whether there was one. */
export function press(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return false
  if (isTyping(event.target) || dialogOpen()) return false
  for (const scope of [...scopes].reverse()) {
    const binding = scope.bindings.find((one) => matches(one, event))
    if (binding) {
      event.preventDefault()
      binding.run(event)
      return true
    }
  }
  return false
}

/** Keys that hold while the calling component is mounted. */
export function useKeys(title: string, bindings: Binding[]): void {
  const scope = { title, bindings }
  onBeforeMount(() => scopes.push(scope)) // a parent before its children
  onBeforeUnmount(() => {
    const at = scopes.indexOf(scope)
    if (at >= 0) scopes.splice(at, 1)
  })
}
