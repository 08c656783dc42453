import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { label } from '@/ui/words'
import { hub } from '@/wire/hub'
import type { Unit } from '@/wire/types'

/** A unit's name in the language in force; the hub's own word until the units are known. */
export function useUnitName(): (of: { unit: string; unit_name: string }) => string {
  const units = useUnits()
  return (of) => (units.byId.has(of.unit) ? units.nameOf(of.unit) : of.unit_name)
}

/** The tree of units; fetched once a session. */
export const useUnits = defineStore('units', () => {
  const items = ref<Unit[]>([])
  let asked: Promise<void> | null = null
  const byId = computed(() => new Map(items.value.map((unit) => [unit.id, unit])))
  const departments = computed(() => items.value.filter((unit) => unit.kind === 'department'))

  /** Load unless loaded. Throws ApiError. */
  function load(): Promise<void> {
    asked ??= hub.units
      .list()
      .then((answer) => {
        items.value = answer.items
      })
      .catch((error: unknown) => {
        asked = null
        throw error
      })
    return asked
  }

  /** The unit's name in the language in force, or its id while unknown. */
  function nameOf(id: string): string {
    const unit = byId.value.get(id)
    return unit ? label(unit) : id
  }

  function reset(): void {
    items.value = []
    asked = null
  }

  return { items, byId, departments, load, nameOf, reset }
})
