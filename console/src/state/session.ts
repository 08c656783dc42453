import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError, whenSignedOut } from '@/wire/http'
import { hub } from '@/wire/hub'
import type { Me, Right } from '@/wire/types'

/** Who sits here, and what they may do. */
export const useSession = defineStore('session', () => {
  const me = ref<Me | null>(null)
  const loaded = ref(false)
  const ended = ref(false) // the session ended by itself: the sign-in page says so
  const rights = computed(() => new Set<Right>(me.value?.rights ?? []))

  function can(right: Right): boolean {
    return rights.value.has(right)
  }

  /** Ask once who is signed in. Throws ApiError when the hub cannot be reached. */
  async function load(): Promise<Me | null> {
    if (loaded.value) return me.value
    try {
      me.value = await hub.sessions.current()
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error
      me.value = null
    }
    loaded.value = true
    return me.value
  }

  function enter(user: Me): void {
    me.value = user
    loaded.value = true
    ended.value = false
  }

  async function signIn(username: string, password: string): Promise<void> {
    enter((await hub.sessions.signIn(username, password)).user)
  }

  async function signInAs(username: string): Promise<void> {
    enter((await hub.demo.signIn(username)).user)
  }

  async function signOut(): Promise<void> {
    try {
      await hub.sessions.signOut()
    } finally {
      me.value = null
    }
  }

  /** The hub says that the session is over. */
  function end(): void {
    if (me.value) ended.value = true
    me.value = null
    loaded.value = true
  }

  whenSignedOut(end)
  return { me, loaded, ended, rights, can, load, signIn, signInAs, signOut, end }
})
