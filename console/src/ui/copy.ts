import { translate } from '@/i18n'
import { toast } from './toast'

/** Put text on the clipboard and say so. Browsers refuse it outside a secure page: then by way of a selection. */
export async function copyText(text: string, done = translate('common.copied')): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    if (!bySelection(text)) {
      toast.warn(translate('common.copy_failed'))
      return false
    }
  }
  toast.ok(done)
  return true
}

function bySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.style.cssText = 'position:fixed;opacity:0'
  document.body.append(area)
  area.select()
  // deprecated, and still the only way on a page without TLS
  const copied = (document as { execCommand?: (command: string) => boolean }).execCommand?.('copy') ?? false
  area.remove()
  return copied
}
