import { reactive } from 'vue'
import { useCameras } from '@/state/cameras'
import { useSession } from '@/state/session'
import { label } from '@/ui/words'
import { hub } from '@/wire/hub'

const found = reactive(new Map<string, string>())
const asked = new Set<string>()

/** Names of cameras by id: from the list in memory, else asked one by one; the id until then. */
export function useCameraNames(): (id: string) => string {
  const cameras = useCameras()
  const session = useSession()

  async function ask(id: string): Promise<void> {
    if (asked.has(id) || !session.can('camera.read')) return
    asked.add(id)
    try {
      found.set(id, label(await hub.cameras.get(id)))
    } catch {
      // gone, or not this person's to know: its id stays
    }
  }

  return (id) => {
    const camera = cameras.get(id)
    if (camera) return label(camera)
    const name = found.get(id)
    if (name === undefined) void ask(id)
    return name ?? id
  }
}
