module github.com/everyexec/everyexec

go 1.26

