import { ElMessageBox } from 'element-plus'
import { translate } from '@/i18n'

/** Ask once before something dangerous. `message` must name the object. Answers whether to go on. */
export async function confirmDanger(title: string, message: string, action: string): Promise<boolean> {
  try {
    await ElMessageBox.confirm(message, title, {
      confirmButtonText: action,
      cancelButtonText: translate('common.cancel'),
      confirmButtonClass: 'el-button--danger',
      autofocus: false,
    })
    return true
  } catch {
    return false
  }
}

/** Ask for a line of text. Answers it trimmed, or null when the person turns back. */
export async function askText(options: {
  title: string
  message: string
  action?: string
  value?: string
  required?: string // words to show when it is empty
  max?: number
}): Promise<string | null> {
  const max = options.max ?? 500
  try {
    const answer = (await ElMessageBox.prompt(options.message, options.title, {
      inputValue: options.value ?? '',
      confirmButtonText: options.action ?? translate('common.ok'),
      cancelButtonText: translate('common.cancel'),
      inputValidator: (text: string | null) => (options.required && !text?.trim() ? options.required : true),
    })) as { value: string | null }
    return (answer.value ?? '').trim().slice(0, max)
  } catch {
    return null
  }
}
