import { useDebounceFn } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { inOrder } from '@/ui/words'
import { hub } from '@/wire/hub'
import type { CameraStateMessage } from '@/wire/messages'
import type { Camera, CameraPatch, NewCamera } from '@/wire/types'
import { useLink } from './link'

const PAGE = 200
const MOST_PAGES = 1_000 // 200,000 cameras
const MOST_WATCHED = 256 // signaling/wire.py, WatchCameras

/** Cameras that this person may know, with the state of those in view kept fresh by the socket. */
export const useCameras = defineStore('cameras', () => {
  const link = useLink()
  const byId = shallowRef(new Map<string, Camera>())
  const talking = shallowRef(new Map<string, string>()) // who speaks to a watched camera now, by name
  const loading = ref(false)
  const loaded = ref(false)
  const problem = ref<unknown>(null)
  const list = computed(() => [...byId.value.values()])
  const wanted = new Map<symbol, string[]>()
  let running: Promise<void> | null = null

  /** Fetch all pages; the list fills while they come. Never throws: see `problem`. */
  function load(): Promise<void> {
    running ??= fetchAll().finally(() => {
      running = null
    })
    return running
  }

  async function fetchAll(): Promise<void> {
    loading.value = true
    try {
      const next = new Map<string, Camera>()
      let cursor: string | null = null
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const answer: Awaited<ReturnType<typeof hub.cameras.list>> = await hub.cameras.list({ cursor, limit: PAGE })
        for (const camera of answer.items) next.set(camera.id, camera)
        if (!loaded.value) byId.value = new Map(next)
        cursor = answer.next
        if (!cursor) break
      }
      byId.value = new Map(inOrder(next.values()).map((camera) => [camera.id, camera]))
      loaded.value = true
      problem.value = null
    } catch (error) {
      problem.value = error
    } finally {
      loading.value = false
    }
  }

  function get(id: string | null | undefined): Camera | undefined {
    return id ? byId.value.get(id) : undefined
  }

  /** Add a camera. Throws ApiError (`camera.url_refused` …). */
  async function add(camera: NewCamera): Promise<Camera> {
    const added = await hub.cameras.add(camera)
    put(added)
    return added
  }

  /** Change what is given. Throws ApiError. */
  async function change(id: string, given: CameraPatch): Promise<Camera> {
    const changed = await hub.cameras.change(id, given)
    put(changed)
    return changed
  }

  /** Delete a camera. Throws ApiError. */
  async function remove(id: string): Promise<void> {
    await hub.cameras.remove(id)
    drop(id)
  }

  function put(camera: Camera): void {
    byId.value = new Map(byId.value).set(camera.id, camera)
  }

  function drop(id: string): void {
    const next = new Map(byId.value)
    next.delete(id)
    byId.value = next
  }

  /** Take over what the socket says of a watched camera. */
  function apply(message: CameraStateMessage): void {
    const speaks = message.talking ?? undefined
    if (talking.value.get(message.camera) !== speaks) {
      const next = new Map(talking.value)
      if (speaks) next.set(message.camera, speaks)
      else next.delete(message.camera)
      talking.value = next
    }
    const camera = byId.value.get(message.camera)
    if (!camera) return
    put({
      ...camera,
      state: message.state as Camera['state'],
      reason: message.reason ?? null,
      retry_at: message.retry_at ?? null,
      codec: message.codec ?? camera.codec,
      width: message.width ?? camera.width,
      height: message.height ?? camera.height,
      viewers: message.viewers ?? 0,
      transcoded: message.transcoded ?? false,
    })
  }

  const tell = useDebounceFn(() => {
    const ids = [...new Set([...wanted.values()].flat())].slice(0, MOST_WATCHED)
    link.send({ type: 'cameras.watch', cameras: ids })
  }, 150)

  /** Keep the state of these cameras fresh while the calling scope lives. Tiles come first: call it early. */
  function useWatched(ids: () => string[]): void {
    const key = Symbol('watched')
    watch(
      ids,
      (now) => {
        wanted.set(key, now)
        void tell()
      },
      { immediate: true },
    )
    onScopeDispose(() => {
      wanted.delete(key)
      void tell()
    })
  }

  function reset(): void {
    byId.value = new Map()
    talking.value = new Map()
    loaded.value = false
    problem.value = null
  }

  link.on('camera.state', apply)
  link.on('ready', () => {
    void tell()
    if (loaded.value) void load()
  })
  link.onEvent(['camera.added', 'camera.changed', 'camera.removed'], () => {
    if (loaded.value) void load()
  })

  return { byId, list, talking, loading, loaded, problem, load, get, put, add, change, remove, apply, useWatched, reset }
})
