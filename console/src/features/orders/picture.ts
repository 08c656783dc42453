/** Whether a file may go with feedback; the hub checks again by content. */

export const TYPES: readonly string[] = ['image/jpeg', 'image/png', 'image/webp']
export const MOST_BYTES = 10 * 1024 * 1024

export type Wrong = 'wrongType' | 'tooBig' | 'empty'

export function wrongPicture(file: { type: string; size: number }): Wrong | null {
  if (!TYPES.includes(file.type)) return 'wrongType'
  if (file.size === 0) return 'empty'
  return file.size > MOST_BYTES ? 'tooBig' : null
}

export function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}
