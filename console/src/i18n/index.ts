import { createI18n } from 'vue-i18n'
import * as common from './common'
import { merge, straight, type LocaleFile, type Words } from './merge'

export type Language = 'zh-CN' | 'en'
const KEY = 'sharpeyes.language'

const files = import.meta.glob<LocaleFile>('../features/*/locale.ts', { eager: true })

/** One tree of words, of the common file and of every feature. */
export function words(language: keyof LocaleFile): Words {
  const all = merge({}, common[language])
  for (const file of Object.values(files)) merge(all, file[language])
  return language === 'en' ? straight(all) : all
}

function remembered(): Language {
  const stored = localStorage.getItem(KEY)
  return stored === 'en' || stored === 'zh-CN' ? stored : 'zh-CN'
}

export const i18n = createI18n({
  legacy: false,
  locale: remembered() as string,
  fallbackLocale: 'zh-CN',
  messages: { 'zh-CN': words('zh'), en: words('en') } as Record<string, Words>,
  missingWarn: import.meta.env.DEV,
  fallbackWarn: false,
})

/** Language in force. */
export function language(): Language {
  return i18n.global.locale.value as Language
}

export function setLanguage(to: Language): void {
  i18n.global.locale.value = to
  localStorage.setItem(KEY, to)
  document.documentElement.lang = to
}

/** Translate outside of components (stores, helpers). */
export function translate(key: string, values: Record<string, unknown> = {}): string {
  return i18n.global.t(key, values)
}

/** Whether a word exists. */
export function known(key: string): boolean {
  return i18n.global.te(key) || i18n.global.te(key, 'zh-CN')
}

document.documentElement.lang = language()
