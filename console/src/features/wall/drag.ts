// What is dragged about on the wall: a camera out of the tree, or a tile.

export const MIME = 'application/x-sharpeyes'

export function dragged(event: DragEvent): { camera?: string; tile?: number } | null {
  try {
    const value = JSON.parse(event.dataTransfer?.getData(MIME) ?? '') as { camera?: unknown; tile?: unknown }
    if (typeof value.camera === 'string') return { camera: value.camera }
    return typeof value.tile === 'number' ? { tile: value.tile } : null
  } catch {
    return null
  }
}
