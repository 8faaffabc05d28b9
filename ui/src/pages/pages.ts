// Every page, in the order of the navigation: a new one is a file beside this one and a row here.

import type { Component } from 'svelte'
import Calls from './Calls.svelte'

export interface Page { name: string; title: string; component: Component }

export const pages: Page[] = [
  { name: 'calls', title: 'Calls', component: Calls },
]

export const pageOf = (name: string): Page => pages.find((p) => p.name === name) ?? pages[0]!
