// Every page, in the order of the navigation: a new one is a file beside this one, a row here, and its name in internal/web.

import type { Component } from 'svelte'
import Calls from './Calls.svelte'
import Certificates from './Certificates.svelte'
import Configuration from './Configuration.svelte'
import Connections from './Connections.svelte'
import Findings from './Findings.svelte'
import Handshakes from './Handshakes.svelte'
import Peers from './Peers.svelte'

export interface Page { name: string; title: string; component: Component }

export const pages: Page[] = [
  { name: 'calls', title: 'Calls', component: Calls },
  { name: 'findings', title: 'Findings', component: Findings },
  { name: 'connections', title: 'Connections', component: Connections },
  { name: 'handshakes', title: 'Handshakes', component: Handshakes },
  { name: 'peers', title: 'Peers', component: Peers },
  { name: 'certificates', title: 'Certificates', component: Certificates },
  { name: 'configuration', title: 'Configuration', component: Configuration },
]

export const pageOf = (name: string): Page => pages.find((p) => p.name === name) ?? pages[0]!
