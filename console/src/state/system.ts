import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { hub } from '@/wire/hub'
import type { System } from '@/wire/types'

/** What this installation is: name, version, model, nodes. */
export const useSystem = defineStore('system', () => {
  const value = ref<System | null>(null)
  const name = computed(() => value.value?.name ?? '')
  const demonstration = computed(() => value.value?.model.demonstration ?? false)

  /** Throws ApiError. */
  async function load(): Promise<void> {
    value.value = await hub.system()
  }

  return { value, name, demonstration, load }
})
