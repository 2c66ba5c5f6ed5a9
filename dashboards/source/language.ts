// Every text stands in both languages at the place where it is used.

export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];

/** Picks the text of the language that is being written. */
export type Say = (english: string, korean: string) => string;

export function sayIn(language: Language): Say {
  return (english, korean) => (language === "ko" ? korean : english);
}

/** What tells the boards of a language apart from the others in a name or a tag. */
export function suffix(language: Language): string {
  return language === "en" ? "" : `-${language}`;
}
