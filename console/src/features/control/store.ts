import { defineStore } from 'pinia'
import { ref } from 'vue'

/** Which camera is in hand, spoken to, or played back. One of each: nobody steers two cameras at once. */
export const useControls = defineStore('controls', () => {
  const armed = ref<string | null>(null) // the camera that keys, pad and gamepad turn
  const talking = ref<string | null>(null)
  const playing = ref<string | null>(null) // whose recordings are open

  function arm(camera: string | null): void {
    armed.value = camera !== null && armed.value === camera ? null : camera
  }

  function talk(camera: string | null): void {
    talking.value = camera !== null && talking.value === camera ? null : camera
  }

  function play(camera: string | null): void {
    playing.value = camera
  }

  function reset(): void {
    armed.value = talking.value = playing.value = null
  }

  return { armed, talking, playing, arm, talk, play, reset }
})
