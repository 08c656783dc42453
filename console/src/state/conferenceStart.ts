import { defineStore } from 'pinia'
import { ref } from 'vue'
import type { Alert, Camera, Incident } from '@/wire/types'

/** What the conference is to be about; every part may be missing. */
export interface ConferenceSubject {
  alert?: Pick<Alert, 'id' | 'camera' | 'camera_name' | 'camera_name_en' | 'rule_name' | 'incident' | 'unit' | 'run'> | null
  incident?: Pick<Incident, 'id' | 'title' | 'cameras'> | null
  camera?: Pick<Camera, 'id' | 'name'> | null
}

/** Opens the dialog "call departments" (features/conference/StartConference.vue) from anywhere. */
export const useConferenceStart = defineStore('conferenceStart', () => {
  const subject = ref<ConferenceSubject | null>(null)

  function open(about: ConferenceSubject = {}): void {
    subject.value = about
  }

  function close(): void {
    subject.value = null
  }

  return { subject, open, close }
})
