// A recording as a file: read as it comes, counted, saved at the end. What is too large for memory the browser fetches itself.
import { refusalOf } from '@/wire/http'

export interface Progress {
  bytes: number
  ratio: number | null // 0..1; null: nobody knows how much there is
  seconds: number
}

export const LARGEST = 1024 ** 3 // bytes that are held in memory
const SPEED = 4 // as fast as it was recorded, hub/services/playbacks.py
const CERTAIN = 0.99 // an estimate never says that all is there

/** How far it is, by what the device said of its files and by the time that it should take: the more cautious of both. */
export function ratioOf(bytes: number, seconds: number, expected: number | null, span: number): number | null {
  if (bytes <= 0 || span <= 0) return null
  const ofBytes = expected !== null && expected > 0 ? bytes / expected : 1
  return Math.min(CERTAIN, ofBytes, (seconds * SPEED) / span)
}

/** 1536 → "1.5 KB" */
export function sizeOf(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB']
  let [value, at] = [bytes, 0]
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at += 1
  }
  return `${at === 0 ? String(Math.round(value)) : value.toFixed(1)} ${units[at] ?? ''}`
}

/** A name that every file system takes: camera, day and time. */
export function fileName(camera: string, from: number): string {
  const at = new Date(from * 1000)
  const two = (n: number): string => String(n).padStart(2, '0')
  const day = `${String(at.getFullYear())}${two(at.getMonth() + 1)}${two(at.getDate())}-${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`
  const safe = camera.replace(/[\p{Cc}\\/:*?"<>|\s]+/gu, '_').slice(0, 60)
  return `${safe || 'camera'}-${day}.ts`
}

/** Read a file whole. Throws ApiError, or the abort. */
export async function fetchFile(url: string, told: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
  const answer = await fetch(url, { credentials: 'same-origin', signal })
  if (!answer.ok || !answer.body) throw await refusalOf(answer)
  const reader = answer.body.getReader()
  const parts: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    parts.push(value)
    bytes += value.byteLength
    told(bytes)
  }
  return new Blob(parts, { type: 'video/mp2t' })
}

/** Hand a file, or an address, to the browser. */
export function save(what: Blob | string, name: string): void {
  const url = typeof what === 'string' ? what : URL.createObjectURL(what)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  if (typeof what !== 'string') {
    setTimeout(() => {
      URL.revokeObjectURL(url)
    }, 60_000)
  }
}
