// Locale files are split by feature; here they become one tree a language.

export interface Words {
  [key: string]: string | Words
}

export interface LocaleFile {
  zh: Words
  en: Words
}

/** Lay `more` over `base` in place. Two files must not give the same word twice. */
export function merge(base: Words, more: Words, path = ''): Words {
  for (const [key, value] of Object.entries(more)) {
    const before = base[key]
    if (before === undefined) base[key] = typeof value === 'string' ? value : merge({}, value, `${path}${key}.`)
    else if (typeof before === 'object' && typeof value === 'object') merge(before, value, `${path}${key}.`)
    else throw new Error(`two words for ${path}${key}`)
  }
  return base
}

/** All paths of a tree, sorted. */
export function paths(words: Words, prefix = ''): string[] {
  return Object.entries(words)
    .flatMap(([key, value]) => (typeof value === 'string' ? [prefix + key] : paths(value, `${prefix}${key}.`)))
    .sort()
}

/** Quotation marks of the Latin keyboard. Chinese fonts, which come first here, draw the curly ones as wide as a sign. */
export function straight(words: Words): Words {
  return Object.fromEntries(
    Object.entries(words).map(([key, value]) => [
      key,
      typeof value === 'string' ? value.replace(/[\u2018\u2019]/g, "'").replace(/[\u201c\u201d]/g, '"') : straight(value),
    ]),
  )
}
