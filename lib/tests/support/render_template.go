// Renders Ollama's templates with the engine that Ollama uses: a JSON list of
// {Template, System, Messages} on standard input, a list of texts on standard output.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type chat struct {
	Template, System string
	Messages         []struct{ Role, Content string }
}

func main() {
	var chats []chat
	if err := json.NewDecoder(os.Stdin).Decode(&chats); err != nil {
		panic(err)
	}
	texts := make([]string, len(chats))
	for n, c := range chats {
		var text strings.Builder
		parsed := template.Must(template.New("").Parse(c.Template))
		if err := parsed.Execute(&text, map[string]any{"System": c.System, "Messages": c.Messages}); err != nil {
			panic(err)
		}
		texts[n] = text.String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(texts); err != nil {
		panic(err)
	}
}
