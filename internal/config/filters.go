package config

// SavedFilter is a filter with a name: docs/reference/filter.md.
type SavedFilter struct {
	Name string
	Place
	Text string
}

// SavedFilters returns the texts of the saved filters by their names.
func (c *Config) SavedFilters() map[string]string {
	all := make(map[string]string, len(c.Filters))
	for i := range c.Filters {
		all[c.Filters[i].Name] = c.Filters[i].Text
	}
	return all
}
