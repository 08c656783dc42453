import { ref, type Ref, shallowRef, type ShallowRef } from 'vue'
import { useSession } from '@/state/session'
import { hub } from '@/wire/hub'
import type { Run } from '@/wire/types'

export interface RunningDrills {
  runs: Readonly<ShallowRef<readonly Run[]>> // what can be chosen
  run: Ref<string> // the chosen drill, '' for a real matter
  known: () => Promise<void> // resolves when the answer is in: a quick hand must not miss it
  ask: (of?: string | null) => void
}

/** Which drills run now, and to which one a new matter belongs: of several the first, unless the caller knows. */
export function useRunningDrills(): RunningDrills {
  const session = useSession()
  const runs = shallowRef<readonly Run[]>([])
  const run = ref('')
  let asked: Promise<void> = Promise.resolve()
  let turn = 0

  async function fetch(of: string | null | undefined): Promise<void> {
    turn += 1
    const mine = turn
    runs.value = []
    run.value = of ?? ''
    if (!session.can('drill.read')) return
    try {
      const found = (await hub.drills.runs()).items.filter((one) => one.state === 'running')
      if (mine !== turn) return
      runs.value = found
      run.value = of ?? found[0]?.id ?? ''
    } catch {
      // drills are away: a real matter must not wait for them
    }
  }

  return {
    runs,
    run,
    known: () => asked,
    ask: (of) => {
      asked = fetch(of)
    },
  }
}
