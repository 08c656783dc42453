import { ElMessage } from 'element-plus'
import { wordsOf } from './words'

const common = { grouping: true, showClose: true, offset: 76 }

export const toast = {
  ok: (message: string) => ElMessage({ ...common, message, type: 'success', duration: 3_000 }),
  info: (message: string) => ElMessage({ ...common, message, type: 'info', duration: 4_000 }),
  warn: (message: string) => ElMessage({ ...common, message, type: 'warning', duration: 6_000 }),
  /** Says in words what went wrong; takes what was thrown. */
  fail: (error: unknown) => ElMessage({ ...common, message: wordsOf(error), type: 'error', duration: 8_000 }),
}

/** Run an action; on failure say so and answer undefined. */
export async function attempt<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action()
  } catch (error) {
    toast.fail(error)
    return undefined
  }
}
